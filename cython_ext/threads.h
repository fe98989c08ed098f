/* Locks, signals and threads of POSIX and of Windows, as far as the pool needs them. */
#ifndef SKK_THREADS_H
#define SKK_THREADS_H

#include <stdint.h>
#include <stdlib.h>

#if defined(__x86_64__) || defined(_M_X64) || defined(__i386__)
#include <immintrin.h>
static inline void skk_pause(void) { _mm_pause(); }
#elif defined(__aarch64__)
static inline void skk_pause(void) { __asm__ __volatile__("yield"); }
#else
static inline void skk_pause(void) {}
#endif

#ifdef _WIN32

#define WIN32_LEAN_AND_MEAN
#include <malloc.h>
#include <process.h>
#include <windows.h>

typedef SRWLOCK skk_lock;
typedef CONDITION_VARIABLE skk_signal;
#define SKK_LOCK SRWLOCK_INIT
#define SKK_SIGNAL CONDITION_VARIABLE_INIT

static inline void skk_acquire(skk_lock *l) { AcquireSRWLockExclusive(l); }
static inline void skk_release(skk_lock *l) { ReleaseSRWLockExclusive(l); }
static inline void skk_wait(skk_signal *s, skk_lock *l) { SleepConditionVariableSRW(s, l, INFINITE, 0); }
static inline void skk_wait_for(skk_signal *s, skk_lock *l, double seconds)
{
    SleepConditionVariableSRW(s, l, (DWORD)(seconds * 1e3) + 1, 0);
}
static inline void skk_wake_one(skk_signal *s) { WakeConditionVariable(s); }
static inline void skk_wake_all(skk_signal *s) { WakeAllConditionVariable(s); }

static inline double skk_now(void)
{
    LARGE_INTEGER count, frequency;
    QueryPerformanceCounter(&count);
    QueryPerformanceFrequency(&frequency);
    return (double)count.QuadPart / (double)frequency.QuadPart;
}

static unsigned __stdcall skk_thread(void *run)
{
    ((void (*)(void))run)();
    return 0;
}
static inline int skk_start(void (*run)(void))
{
    const uintptr_t thread = _beginthreadex(NULL, 0, skk_thread, (void *)run, 0, NULL);
    if (thread)
        CloseHandle((HANDLE)thread);
    return thread != 0;
}

static inline void *skk_aligned_alloc(size_t bytes) { return _aligned_malloc(bytes, 64); }
static inline void skk_aligned_free(void *p) { _aligned_free(p); }

static inline void skk_at_fork(void (*before)(void), void (*parent)(void), void (*child)(void))
{
    (void)before, (void)parent, (void)child; /* no forks here */
}
static inline void skk_renew(skk_lock *l, skk_signal *s) { InitializeSRWLock(l), InitializeConditionVariable(s); }

#else

#include <pthread.h>
#include <signal.h>
#include <time.h>

typedef pthread_mutex_t skk_lock;
typedef pthread_cond_t skk_signal;
#define SKK_LOCK PTHREAD_MUTEX_INITIALIZER
#define SKK_SIGNAL PTHREAD_COND_INITIALIZER

static inline void skk_acquire(skk_lock *l) { pthread_mutex_lock(l); }
static inline void skk_release(skk_lock *l) { pthread_mutex_unlock(l); }
static inline void skk_wait(skk_signal *s, skk_lock *l) { pthread_cond_wait(s, l); }
static inline void skk_wait_for(skk_signal *s, skk_lock *l, double seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until); /* what conditions count by where nothing else was asked for */
    const double nanoseconds = (double)until.tv_nsec + seconds * 1e9, whole = (double)(int64_t)(nanoseconds / 1e9);
    until.tv_sec += (time_t)whole;
    until.tv_nsec = (long)(nanoseconds - whole * 1e9);
    pthread_cond_timedwait(s, l, &until);
}
static inline void skk_wake_one(skk_signal *s) { pthread_cond_signal(s); }
static inline void skk_wake_all(skk_signal *s) { pthread_cond_broadcast(s); }

static inline double skk_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *skk_thread(void *run)
{
    ((void (*)(void))run)();
    return NULL;
}
/* A thread that runs to the end of the process, and leaves signals to the threads of Python. */
static inline int skk_start(void (*run)(void))
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    for (size_t k = 0; k < sizeof(own) / sizeof(own[0]); k++)
        sigdelset(&all, own[k]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&thread, NULL, skk_thread, (void *)run);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed)
        pthread_detach(thread);
    return !failed;
}

static inline void *skk_aligned_alloc(size_t bytes)
{
    void *p;
    return posix_memalign(&p, 64, bytes) ? NULL : p;
}
static inline void skk_aligned_free(void *p) { free(p); }

static inline void skk_at_fork(void (*before)(void), void (*parent)(void), void (*child)(void))
{
    pthread_atfork(before, parent, child);
}
static inline void skk_renew(skk_lock *l, skk_signal *s)
{
    const skk_lock free_lock = SKK_LOCK;
    const skk_signal free_signal = SKK_SIGNAL;
    *l = free_lock;
    *s = free_signal;
}

#endif
#endif
