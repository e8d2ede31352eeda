# Picks the sources of the FPGA side: with Xilinx XRT, or without.
