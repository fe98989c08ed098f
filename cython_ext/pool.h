/* Threads of our own, and the jobs that they share with the thread that calls.

   A job is a number of chains; a chain is work whose steps follow one another, while chains do not depend on each
   other. The calling thread takes steps as its helpers do, until none is left that nobody has started, and waits for
   started steps alone: a helper that the system has not let run yet, because other programs keep the cores busy,
   delays nobody. */
#ifndef SKK_POOL_H
#define SKK_POOL_H

#include <stddef.h>
#include <stdint.h>

typedef struct skk_job skk_job;

/* One step of a chain. Adds to *done what it did; returns whether the chain goes on. */
typedef int (*skk_step)(void *context, int64_t chain, void *scratch, int64_t *done);

/* A job of n_chains > 0 chains for at most n_threads threads, the calling one among them, each with scratch memory of so
   many bytes; that of the calling thread is given. NULL if there is no memory. */
skk_job *skk_open(skk_step step, void *context, int64_t n_chains, int n_threads, size_t scratch_bytes, void *scratch);

/* Take part until the job is finished (1) or about so many seconds have passed (0). -1: the process was forked since the job
   was opened, and its helpers are not in this child. Helpers go on between two calls. */
int skk_work(skk_job *job, double seconds);

/* What the steps have done so far. */
int64_t skk_done(skk_job *job);

/* The end: chains that nobody has in hand are dropped, started steps are waited for. */
void skk_close(skk_job *job);

/* Scratch memory, aligned to 64 bytes, of any contents. The program keeps a bounded amount of what is given back. */
void *skk_take_scratch(size_t bytes);
void skk_give_scratch(void *scratch);
size_t skk_kept_scratch(void);

/* For tests: fill scratch memory with NaN whenever it is taken. */
void skk_poison_scratch(int on);

/* Called once, before everything else: forked children get a pool of their own. */
void skk_watch_forks(void);

/* Threads that were started and wait for jobs or work on them. */
int skk_helpers(void);

#endif
