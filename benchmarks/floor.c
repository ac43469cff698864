/* The floor of any scan: every entry below a directory by getdents64, openat and statx, and nothing else. Prints entries and bytes. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LISTING_BYTES = 65536 };

struct record { unsigned long long inode; long long offset; unsigned short length; unsigned char type; char name[]; };

static unsigned long long entries, bytes;
static unsigned root_major, root_minor;

static int look(int folder, const char *name, struct statx *found) {
    return statx(folder, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, found);
}

static void walk(int folder) {
    char *listing = malloc(LISTING_BYTES), *below = NULL;
    size_t used = 0, room = 0;
    long got;
    if (!listing) exit(1);
    while ((got = syscall(SYS_getdents64, folder, listing, LISTING_BYTES)) > 0) {
        for (long at = 0; at < got;) {
            struct record *seen = (struct record *)(listing + at);
            struct statx found;
            at += seen->length;
            if (!strcmp(seen->name, ".") || !strcmp(seen->name, "..") || look(folder, seen->name, &found)) continue;
            entries++;
            bytes += found.stx_size;
            if (!S_ISDIR(found.stx_mode) || found.stx_dev_major != root_major || found.stx_dev_minor != root_minor) continue;
            size_t length = strlen(seen->name) + 1;
            while (used + length > room) {
                room = room ? room * 2 : 4096;
                if (!(below = realloc(below, room))) exit(1);
            }
            memcpy(below + used, seen->name, length);
            used += length;
        }
    }
    free(listing);
    for (size_t at = 0; at < used; at += strlen(below + at) + 1) {
        int child = openat(folder, below + at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (child < 0) continue;
        walk(child);
        close(child);
    }
    free(below);
}

int main(int count, char **arguments) {
    struct statx root;
    int folder = count == 2 ? open(arguments[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (folder < 0 || statx(folder, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &root)) {
        fprintf(stderr, "usage: floor DIRECTORY (%s)\n", strerror(errno));
        return 1;
    }
    root_major = root.stx_dev_major;
    root_minor = root.stx_dev_minor;
    walk(folder);
    printf("%llu %llu\n", entries, bytes);
    return 0;
}
