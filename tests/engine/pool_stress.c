/* Many callers at once on the pool of cython_ext/pool.c, forks among them: every step is done once, in its order.

   tests/sanitize.py builds and runs this with the sanitizers of memory and of threads. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef _WIN32
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "pool.h"

#define CALLERS 5
#define MOST_CHAINS 200
#define CALLS 60

typedef struct {
    int64_t steps[MOST_CHAINS], each;
} work;

static int wrong;

static int step(void *context, int64_t k, void *scratch, int64_t *done)
{
    work *w = context;
    ((char *)scratch)[5] = 1;
    for (volatile int i = 0; i < 200; i++)
        ;
    *done += 1;
    return ++w->steps[k] < w->each; /* of one chain: a data race here would be one of the pool */
}

static unsigned next(unsigned *random) { return (*random = *random * 1664525u + 1013904223u) >> 16; }

static void *call(void *seed)
{
    unsigned random = (unsigned)(uintptr_t)seed;
    for (int r = 0; r < CALLS; r++) {
        const int64_t n = 1 + next(&random) % MOST_CHAINS;
        const size_t bytes = 1000 + (size_t)(r % 7) * 3000000;
        work w;
        int finished = 0;
        memset(&w, 0, sizeof(w));
        w.each = 1 + r % 5;
        void *scratch = skk_take_scratch(bytes);
        skk_job *job = skk_open(step, &w, n, 1 + r % 6, bytes, scratch);
        for (int looks = 0; !finished && !(r % 9 == 8 && looks > 3); looks++) /* some calls are given up */
            finished = skk_work(job, r % 2 ? 1e-5 : 0.05);
        const int64_t done = skk_done(job);
        skk_close(job);
        skk_give_scratch(scratch);
        for (int64_t k = 0; finished && k < n; k++)
            if (w.steps[k] != w.each || done != n * w.each)
                wrong = 1;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t callers[CALLERS];
    (void)argc, (void)argv;
    skk_watch_forks();
    for (uintptr_t k = 0; k < CALLERS; k++)
        pthread_create(callers + k, NULL, call, (void *)(k + 1));
#ifndef _WIN32
    for (uintptr_t k = 0; argc > 1 && k < 40; k++) { /* not under the sanitizer of threads, which children lack */
        int status;
        const pid_t child = fork();
        if (!child) {
            alarm(30); /* ends a child that hangs */
            call((void *)(k + 100));
            _exit(wrong || !skk_helpers());
        }
        if (waitpid(child, &status, 0) != child || status)
            wrong = 1;
    }
#endif
    for (int k = 0; k < CALLERS; k++)
        pthread_join(callers[k], NULL);
    if (skk_kept_scratch() > (size_t)32 << 20)
        wrong = 1;
    puts(wrong ? "wrong" : "right");
    return wrong;
}
