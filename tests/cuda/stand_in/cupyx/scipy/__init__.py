"""As `cupyx.scipy`."""
