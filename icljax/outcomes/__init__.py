"""What evaluations measure and leave behind: a file per subject, each with a class of the same methods; `curves` is the GLMs' pictures."""
