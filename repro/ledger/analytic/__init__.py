"""The numbers of each paper that need no training, one file a paper: what it printed, and our own formula for it."""
