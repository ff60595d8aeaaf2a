"""Evergreen: keeps TensorFlow models in production fresh. A plain package that never imports airflow."""
