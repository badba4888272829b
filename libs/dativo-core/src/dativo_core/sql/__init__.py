"""What taps of SQL databases share; each of them only says what is special."""
