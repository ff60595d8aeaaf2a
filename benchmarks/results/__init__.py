"""What the models reach on real data, window by window; `make results` writes docs/results.md."""
