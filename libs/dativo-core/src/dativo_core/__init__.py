"""What taps and target share: the seams, not the engines."""
