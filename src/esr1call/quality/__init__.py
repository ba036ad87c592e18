"""What a batch's controls, its samples' molecules and its patients' earlier results allow to be reported."""
