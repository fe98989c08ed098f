// CUDA C++ on the CPU: what generated kernels use of it. Every CUDA thread is a fiber; blocks run one after another.
// For tests. The kernels' text is compiled unchanged, but for `extern "C"`.
#pragma once
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <vector>
#include <sys/mman.h>
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
using namespace std;

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) double2 { double x, y; };
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline double2 make_double2(double x, double y) { return {x, y}; }

#define __global__ static
#define __device__
#define __forceinline__ inline
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)
#if defined(__SANITIZE_ADDRESS__)
#define __shared__ static  // with red zones, and without poison
#else
#define __shared__ static __attribute__((section(SKK_SECTION)))
#endif
#define __syncthreads() emulated::wait(emulated::AT_BLOCK, __LINE__, 0)
#define __syncthreads_or(p) (emulated::count_of_block((p), __LINE__) != 0)
#define __syncthreads_count(p) emulated::count_of_block((p), __LINE__)
#define __syncwarp() emulated::wait(emulated::AT_WARP, __LINE__, 0xffffffffu)
#define __shfl_xor_sync(mask, v, o) emulated::shuffle(mask, v, emulated::current->lane ^ (o), __LINE__)
#define __shfl_sync(mask, v, source) emulated::shuffle(mask, v, (source), __LINE__)
#define __ballot_sync(mask, p) emulated::ballot(mask, (p), __LINE__)
#define __shfl_down_sync(mask, v, o) \
    emulated::shuffle(mask, v, emulated::current->lane + (o) < 32 ? emulated::current->lane + (o) : emulated::current->lane, __LINE__)
#define __all_sync(mask, p) emulated::all_of_warp(mask, (p), __LINE__)
#define threadIdx (emulated::current->thread)

static uint3 blockIdx;
static dim3 blockDim, gridDim;

namespace emulated {

enum State { READY, AT_BLOCK, AT_WARP, DONE };
struct Warp { unsigned live; uint64_t sent[32], received[32]; };
struct Fiber {
    uint3 thread;
    int number, lane, line;
    unsigned block_phase, warp_phase, mask;
    State state;
    Warp *warp;
    void *stack_pointer;
    char *stack;
    void *tsan;
    int vote;
};

static Fiber *current, scheduler;
static char message[512];
static const size_t STACK = 256 << 10;

#if defined(__SANITIZE_THREAD__)
#define UNWATCHED __attribute__((no_sanitize("thread"), noinline))
static char block_key[2], warp_key[32][2], start_key, end_key;
#else
#define UNWATCHED
#endif

extern "C" void emulated_switch(void **from, void *to);
asm(R"(
.text
.type emulated_switch, @function
emulated_switch:
  pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
  movq %rsp, (%rdi); movq %rsi, %rsp
  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
  ret
)");

UNWATCHED static void switch_to(Fiber *from, Fiber *to)
{
    current = to;
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(to->tsan, __tsan_switch_to_fiber_no_sync);
#endif
#if defined(__SANITIZE_ADDRESS__)
    void *fake = nullptr;
    __sanitizer_start_switch_fiber(from->state == DONE ? nullptr : &fake, to->stack, STACK);
#endif
    emulated_switch(&from->stack_pointer, to->stack_pointer);
#if defined(__SANITIZE_ADDRESS__)
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(fake, &bottom, &size);
#endif
}

UNWATCHED static void wait(State state, int line, unsigned mask)
{
    Fiber *self = current;
    self->line = line;
    self->mask = mask;
#if defined(__SANITIZE_THREAD__)
    // two keys in turn: one alone would hide races with the next phase
    char *key = state == AT_BLOCK ? &block_key[self->block_phase++ & 1] : &warp_key[self->number / 32][self->warp_phase++ & 1];
    __tsan_release(key);
#endif
    self->state = state;
    switch_to(self, &scheduler);
#if defined(__SANITIZE_THREAD__)
    __tsan_acquire(key);
#endif
}

static int votes;  // of the threads at the barrier that was released last

UNWATCHED static int count_of_block(int vote, int line)
{
    current->vote = vote != 0;
    wait(AT_BLOCK, line, 0);
    return votes;
}

template <class T> UNWATCHED static T shuffle(unsigned mask, T value, int source, int line)
{
    static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    current->warp->sent[current->lane] = bits;
    wait(AT_WARP, line, mask);
    if (!((mask >> source) & 1)) { fprintf(stderr, "emulator: line %d reads lane %d outside the mask\n", line, source); abort(); }
    memcpy(&value, &current->warp->received[source], sizeof value);
    return value;
}

UNWATCHED static int all_of_warp(unsigned mask, int vote, int line)
{
    int all = vote != 0;
    for (int d = 16; d > 0; d /= 2) all &= shuffle(mask, all, current->lane ^ d, line);
    return all;
}

UNWATCHED static unsigned ballot(unsigned mask, int vote, int line)
{
    current->warp->sent[current->lane] = vote != 0;
    wait(AT_WARP, line, mask);
    unsigned found = 0;
    for (int lane = 0; lane < 32; ++lane) if (((mask >> lane) & 1) && current->warp->received[lane]) found |= 1u << lane;
    return found;
}

static void (*kernel)(void **);
static void **kernel_arguments;

UNWATCHED static void enter()
{
#if defined(__SANITIZE_ADDRESS__)
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
    if (!scheduler.stack) scheduler.stack = (char *)bottom;
#endif
#if defined(__SANITIZE_THREAD__)
    __tsan_acquire(&start_key);
#endif
    kernel(kernel_arguments);
#if defined(__SANITIZE_THREAD__)
    __tsan_release(&end_key);
#endif
    Fiber *self = current;
    self->state = DONE;
    switch_to(self, &scheduler);
    abort();
}

static uint64_t random_state = 88172645463325252ull;
static uint64_t random_number()
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

UNWATCHED static bool release_warps(vector<Fiber> &fibers, vector<Warp> &warps, int &error)
{
    bool progress = false;
    const int n = (int)fibers.size();
    for (size_t w = 0; w < warps.size(); ++w) {
        const int base = 32 * (int)w;
        for (int lane = 0; lane < 32 && base + lane < n; ++lane) {
            Fiber &fiber = fibers[base + lane];
            if (fiber.state != AT_WARP) continue;
            const unsigned need = fiber.mask & (base + 32 <= n ? 0xffffffffu : (1u << (n - base)) - 1);
            if (need & ~warps[w].live) {
                snprintf(message, sizeof message, "line %d: the mask of a warp names threads that have returned", fiber.line);
                error = 2;
                return false;
            }
            unsigned there = 0;
            for (int other = 0; other < 32 && base + other < n; ++other) {
                const Fiber &f = fibers[base + other];
                if (f.state == AT_WARP && f.line == fiber.line && f.mask == fiber.mask) there |= 1u << other;
            }
            if ((need & there) != need) continue;
            memcpy(warps[w].received, warps[w].sent, sizeof warps[w].sent);
            for (int other = 0; other < 32 && base + other < n; ++other)
                if ((need >> other) & 1) fibers[base + other].state = READY;
            progress = true;
        }
    }
    return progress;
}

// The stacks of the emulated threads. As an inline variable they are one object for all libraries that are loaded: each stack takes two
// mappings of memory, of which a process has 65 530, and tests load some hundred libraries.
inline thread_local std::vector<char *> stacks;

// Run all blocks. order: the threads of a block take turns forwards (0), backwards (1), at random (2).
UNWATCHED static int run(const unsigned *grid, const unsigned *block, int order, void (*body)(void **), void **arguments,
                         char *shared, size_t shared_size)
{
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    kernel = body;
    kernel_arguments = arguments;
    const int n = (int)(block[0] * block[1] * block[2]);
    if (n > 1024) { snprintf(message, sizeof message, "a block of %d threads is too large", n); return 1; }
    while ((int)stacks.size() < n) {
        char *memory = (char *)mmap(nullptr, STACK + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        mprotect(memory, 4096, PROT_NONE);
        stacks.push_back(memory + 4096);
    }
    vector<Fiber> fibers(n);
    vector<Warp> warps((n + 31) / 32);
    vector<int> turns(n);
#if defined(__SANITIZE_THREAD__)
    scheduler.tsan = __tsan_get_current_fiber();
#endif
    const uint64_t blocks = (uint64_t)grid[0] * grid[1] * grid[2];
    for (uint64_t q = 0; q < blocks; ++q) {
        const uint64_t number = order == 1 ? blocks - 1 - q : q;
        blockIdx = {(unsigned)(number % grid[0]), (unsigned)(number / grid[0] % grid[1]), (unsigned)(number / grid[0] / grid[1])};
        memset(shared, 0xff, shared_size);  // NaN
        votes = 0;
        for (auto &w : warps) w.live = 0;
        for (int t = 0; t < n; ++t) {
            Fiber &f = fibers[t];
            f = Fiber{{t % block[0], t / block[0] % block[1], t / block[0] / block[1]}, t, t & 31, 0, 0, 0, 0, READY, &warps[t / 32], nullptr, stacks[t], nullptr, 0};
            f.warp->live |= 1u << f.lane;
            turns[t] = order == 1 ? n - 1 - t : t;
            void **top = (void **)(f.stack + STACK);
            *--top = nullptr;
            *--top = (void *)enter;
            f.stack_pointer = top - 6;
#if defined(__SANITIZE_THREAD__)
            f.tsan = __tsan_create_fiber(0);
#endif
#if defined(__SANITIZE_ADDRESS__)
            __asan_unpoison_memory_region(f.stack, STACK);  // what the fiber before left there
#endif
        }
#if defined(__SANITIZE_THREAD__)
        __tsan_release(&start_key);
#endif
        int done = 0, error = 0;
        while (done < n && !error) {
            if (order == 2) for (int t = n - 1; t > 0; --t) swap(turns[t], turns[random_number() % (t + 1)]);
            bool progress = false;
            for (int t : turns) {
                Fiber &f = fibers[t];
                if (f.state != READY) continue;
                progress = true;
                switch_to(&scheduler, &f);
                if (f.state == DONE) { ++done; f.warp->live &= ~(1u << f.lane); }
            }
            progress |= release_warps(fibers, warps, error);
            int waiting = 0, line = -1;
            bool apart = false;
            for (auto &f : fibers)
                if (f.state == AT_BLOCK) { ++waiting; apart |= line >= 0 && f.line != line; line = f.line; }
            if (waiting && waiting + done == n) {
                if (apart) { snprintf(message, sizeof message, "line %d: the threads of a block wait at different barriers", line); error = 3; }
                else if (done) { snprintf(message, sizeof message, "line %d: a barrier after %d threads have returned", line, done); error = 4; }
                votes = 0;
                for (auto &f : fibers) if (f.state == AT_BLOCK) { votes += f.vote; f.vote = 0; f.state = READY; }
                progress = true;
            }
            if (!progress && !error) {
                snprintf(message, sizeof message, "block (%u, %u, %u) is stuck: %d threads done, %d at a barrier", blockIdx.x, blockIdx.y, blockIdx.z, done, waiting);
                error = 5;
            }
        }
#if defined(__SANITIZE_THREAD__)
        __tsan_acquire(&end_key);
        for (auto &f : fibers) __tsan_destroy_fiber(f.tsan);
#endif
        if (error) return error;
    }
    return 0;
}

}  // namespace emulated
extern "C" const char *emulated_message() { return emulated::message; }

static inline int __float_as_int(float f) { int i; memcpy(&i, &f, 4); return i; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline double __dsub_rn(double a, double b) { return a - b; }
static inline int __ffs(int i) { return __builtin_ffs(i); }
static inline int __ffsll(long long i) { return __builtin_ffsll(i); }
static inline int __popcll(unsigned long long i) { return __builtin_popcountll(i); }
static inline float __int_as_float(int i) { float f; memcpy(&f, &i, 4); return f; }
static inline double __longlong_as_double(long long i) { double d; memcpy(&d, &i, 8); return d; }
static inline void sincos(float x, float *s, float *c) { *s = sinf(x); *c = cosf(x); }
static inline float rsqrt(float x) { return 1 / sqrtf(x); }
static inline double rsqrt(double x) { return 1 / std::sqrt(x); }
