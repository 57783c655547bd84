"""A run as people meet it: as a row, as settings, as tables, as blocks of a page or report, beside other runs."""
