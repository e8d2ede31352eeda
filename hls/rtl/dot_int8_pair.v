// Dot products of SIMD int8 activations with the int8 weights of two output channels, both products of an activation in
// one DSP48E2 (after Xilinx WP486): (odd * 2^18 + even) * x has odd * x above bit 18 and even * x below.
`default_nettype none
module dot_int8_pair #(
    parameter integer SIMD     = 8,
    parameter integer SUM_BITS = 20  // signed
) (
    input  wire [SIMD*8-1:0] even_weights,
    input  wire [SIMD*8-1:0] odd_weights,
    input  wire [SIMD*8-1:0] inputs,
    output wire [SUM_BITS-1:0] even_sum,
    output wire [SUM_BITS-1:0] odd_sum
);
  wire [SIMD*SUM_BITS-1:0] even_products;
  wire [SIMD*SUM_BITS-1:0] odd_products;
  genvar l;
  generate
    for (l = 0; l < SIMD; l = l + 1) begin : lane
      wire signed [7:0] even = even_weights[l*8+:8];
      wire signed [7:0] odd = odd_weights[l*8+:8];
      wire signed [7:0] x = inputs[l*8+:8];
      // odd * 2^18 + even, as concatenation: a negative even takes one from odd.
      wire signed [26:0] packed_weights = {{odd[7], odd} - {8'd0, even[7]}, {10{even[7]}}, even};
      wire signed [34:0] packed_product = packed_weights * x;
      // |even * x| <= 2^14, so 16 bits hold it; what it borrowed from above goes back as its sign.
      wire signed [15:0] even_product = packed_product[15:0];
      wire signed [15:0] odd_product = packed_product[33:18] + {15'd0, packed_product[17]};
      assign even_products[l*SUM_BITS+:SUM_BITS] = {{(SUM_BITS - 16) {even_product[15]}}, even_product};
      assign odd_products[l*SUM_BITS+:SUM_BITS] = {{(SUM_BITS - 16) {odd_product[15]}}, odd_product};
      // The top bit repeats the sign, bit 16 repeats bit 17.
      wire unused = &{1'b0, packed_product[34], packed_product[16]};
    end
  endgenerate

  reg [SUM_BITS-1:0] even_total;
  reg [SUM_BITS-1:0] odd_total;
  integer i;
  always @* begin
    even_total = 0;
    odd_total  = 0;
    for (i = 0; i < SIMD; i = i + 1) begin
      even_total = even_total + even_products[i*SUM_BITS+:SUM_BITS];
      odd_total  = odd_total + odd_products[i*SUM_BITS+:SUM_BITS];
    end
  end
  assign even_sum = even_total;
  assign odd_sum  = odd_total;
endmodule
`default_nettype wire
