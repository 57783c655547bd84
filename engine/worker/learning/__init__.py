"""What learns on photos, whatever the kind of run: last layers, blocks of a backbone, calibration. Python 3.6."""
