"""What an editor asks of a file, by offsets in its text: plain data in and out, and no protocol."""
