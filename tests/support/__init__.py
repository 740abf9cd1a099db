"""Helpers of several test suites."""
