"""The coursework's questions: their text, the runs behind each answer, what is still to be measured, what is quoted."""
