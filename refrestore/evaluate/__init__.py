"""How good the restorer is: material with ground truth, measures, the table, the demo film."""
