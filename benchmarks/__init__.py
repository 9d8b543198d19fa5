"""Speed, memory and start-up of a3c_exp, side by side with the way A3C is usually written. See README.md here."""
