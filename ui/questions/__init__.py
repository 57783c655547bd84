"""Parts of the page Q&A, and the screens of Present."""
