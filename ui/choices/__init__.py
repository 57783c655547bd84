"""What several forms let a visitor choose: a backbone, distortions, and what a run would take."""
