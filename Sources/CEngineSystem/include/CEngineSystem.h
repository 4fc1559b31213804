// The system calls and processor hints that Swift's modules do not offer, and nothing else.
#ifndef CENGINESYSTEM_H
#define CENGINESYSTEM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// fallocate(2) with mode 0: reserves [offset, offset + length) and extends the size.
/// Returns 0, or the errno.
int csystem_allocate(int fd, int64_t offset, int64_t length);

/// Names the calling thread, at most 15 bytes (pthread_setname_np).
void csystem_name_thread(const char *name);

/// flock(2) without waiting, exclusive or shared. Returns 0, or the errno.
int csystem_lock(int fd, int exclusive);

/// Gives a lock of flock(2) back.
void csystem_unlock(int fd);

/// openat(2) with a mode argument. Returns the descriptor, or minus the errno.
int csystem_openat(int directory, const char *path, int flags, unsigned mode);

/// The magic number of the file system that holds a path (statfs(2)), -1 when that fails.
int64_t csystem_file_system_type(const char *path);

/// Tells the processor that the caller spins.
static inline void csystem_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    __asm__ volatile("yield");
#endif
}

/// Asks the processor to load a cache line that is read soon; any address may be given.
static inline void csystem_prefetch(const void *pointer) { __builtin_prefetch(pointer); }

/// A number that differs from thread to thread, spread over all its bits.
static inline uint64_t csystem_thread_mark(void) {
    return ((uint64_t)(uintptr_t)__builtin_thread_pointer() >> 6) * 0x9e3779b97f4a7c15u;
}

/// Keeps a benchmark's result alive.
void csystem_black_hole(const void *pointer);

#endif
