"""LAMB with trust ratios that hold under ZeRO, and the learning-rate schedule."""
