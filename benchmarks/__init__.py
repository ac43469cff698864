"""Ratios against peers and floors."""
