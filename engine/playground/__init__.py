"""Any model on any picture: what there is of both, the process that answers, and how far an answer is believed."""
