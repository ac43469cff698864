"""The tests of the scanners."""
