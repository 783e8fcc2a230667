"""What is counted over the whole corpus before any rule is asked."""
