"""Faults against the real programs: what they lose, and that Lastcopy loses nothing.

    make chaos                                     every sweep, every point; hours
    python -m tests.lifecycle.chaos --short        what `make check` runs; minutes
    python -m tests.lifecycle.chaos --only kill --engine shutil.move

A *program* (`programs`) moves an *estate* of awkward files from a source disk to a target disk. A *sweep* (`sweeps`) runs it again and again and
does one thing wrong each time, at the next *point*: it kills it before a system call, fails the call, cuts the power, changes a file under it. Then
the program is run once more without a fault, as an operator would, and the *verdict* looks at the disks: is every original content
still at its source, its target or its quarantine name, does no final name show anything else, is nothing left lying about.

| module | gives |
|---|---|
| `disks` | ext4 and xfs file systems in files: put back as they were, cut off as by a power cut |
| `warm` | forks of a warmed-up interpreter that run a command line of Lastcopy, or another Python program |
| `tracing` | the points of a run by strace, and one fault at one of them |
| `estate` | the files, and what is true of them |
| `verdict` | what is lost, wrong or left over on the disks |
| `programs` | mv, rsync, rclone, shutil.move and Lastcopy behind one contract |
| `mutants` | engines with one safety measure taken out: each must be caught |
| `liar` | a FUSE file system that flips bits, forgets what it was told to keep, writes short |
| `sweeps` | one module a kind of fault |
| `scorecard` | points fired of points existing, for every sweep |

Traps that this package has fallen into, so that nobody does again. strace counts `when=N` for each name of a system call and for each thread: every
sweep therefore asserts that as many points fired as exist. A restored image keeps inodes and times, a copied tree does not: a plan would be stale.
Loop devices of a name that is used again show old blocks: each image has a name of its own. Mounts live in a private mount namespace.
An open SQLite handle of ours keeps a disk busy. All disks committing or all disks rolling back lose nothing: they must commit apart.
"""
