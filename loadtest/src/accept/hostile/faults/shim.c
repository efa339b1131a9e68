/* Loaded before libc into a gateway under test: steps its wall clock, or lets one of its threads
 * panic, as the 24 bytes of the file SHIM_FILE say. Nothing of it is part of the gateway.
 *
 * A clock that cannot be read makes Rust's standard library panic in the thread that asks. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct orders {
    int64_t step_seconds;
    char doomed[16];
};

static volatile struct orders *orders;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("SHIM_FILE");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *seen = mmap(NULL, sizeof *orders, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (seen != MAP_FAILED)
        orders = seen;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    long failed = syscall(SYS_clock_gettime, clock, time);
    if (failed || !orders)
        return failed ? -1 : 0;
    if (orders->doomed[0]) {
        char name[16] = {0}, doomed[16];
        memcpy(doomed, (const void *)orders->doomed, sizeof doomed);
        prctl(PR_GET_NAME, name);
        if (!strncmp(name, doomed, sizeof name)) {
            errno = EFAULT;
            return -1;
        }
    }
    if (clock == CLOCK_REALTIME)
        time->tv_sec += orders->step_seconds;
    return 0;
}
