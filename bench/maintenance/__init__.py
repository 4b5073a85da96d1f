"""Commands for developers of sslbench: calibration, throughput files, the README's tables, GPU measurements."""
