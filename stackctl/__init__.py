"""stackctl, the command line for operators of stacks."""
