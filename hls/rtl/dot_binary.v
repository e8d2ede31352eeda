// Dot product of SIMD values of {-1, +1}, bit 1 standing for +1: 2 * popcount(XNOR) - SIMD.
`default_nettype none
module dot_binary #(
    parameter integer SIMD     = 8,
    parameter integer SUM_BITS = 5   // signed: holds -SIMD to SIMD
) (
    input  wire [    SIMD-1:0] weights,
    input  wire [    SIMD-1:0] inputs,
    output wire [SUM_BITS-1:0] sum
);
  localparam integer COUNT_BITS = SUM_BITS - 1;
  wire [SIMD-1:0] equal = ~(weights ^ inputs);
  reg [COUNT_BITS-1:0] count;
  integer i;
  always @* begin
    count = 0;
    for (i = 0; i < SIMD; i = i + 1) count = count + {{(COUNT_BITS - 1) {1'b0}}, equal[i]};
  end
  assign sum = {count, 1'b0} - SIMD[SUM_BITS-1:0];
endmodule
`default_nettype wire
