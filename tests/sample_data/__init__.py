"""Tests of the sample estate."""
