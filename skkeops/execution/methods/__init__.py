"""Methods: ways to compute a problem that visit other pairs than all of them. A file for each."""
