// Dot product of SIMD two's complement weights with SIMD activations, signed or not. For weights of one bit, 1 stands
// for +1 and 0 for -1, and the product is an addition or a subtraction.
`default_nettype none
module dot_integer #(
    parameter integer SIMD        = 8,
    parameter integer WEIGHT_BITS = 8,
    parameter integer INPUT_BITS  = 8,
    parameter integer SIGNED      = 1,
    parameter integer SUM_BITS    = 20  // signed
) (
    input  wire [SIMD*WEIGHT_BITS-1:0] weights,
    input  wire [ SIMD*INPUT_BITS-1:0] inputs,
    output wire [        SUM_BITS-1:0] sum
);
  localparam integer PRODUCT_BITS = WEIGHT_BITS + INPUT_BITS + 1;
  wire [SIMD*SUM_BITS-1:0] products;
  genvar l;
  generate
    for (l = 0; l < SIMD; l = l + 1) begin : lane
      wire sign = SIGNED != 0 && inputs[(l+1)*INPUT_BITS-1];
      wire signed [INPUT_BITS:0] x = {sign, inputs[l*INPUT_BITS+:INPUT_BITS]};
      wire signed [PRODUCT_BITS-1:0] product;
      if (WEIGHT_BITS == 1) begin : plus_or_minus
        wire signed [PRODUCT_BITS-1:0] wide = {{(PRODUCT_BITS - INPUT_BITS - 1) {x[INPUT_BITS]}}, x};
        assign product = weights[l] ? wide : -wide;
      end else begin : times
        wire signed [WEIGHT_BITS-1:0] w = weights[l*WEIGHT_BITS+:WEIGHT_BITS];
        assign product = w * x;
      end
      assign products[l*SUM_BITS+:SUM_BITS] = {{(SUM_BITS - PRODUCT_BITS) {product[PRODUCT_BITS-1]}}, product};
    end
  endgenerate

  reg [SUM_BITS-1:0] total;
  integer i;
  always @* begin
    total = 0;
    for (i = 0; i < SIMD; i = i + 1) total = total + products[i*SUM_BITS+:SUM_BITS];
  end
  assign sum = total;
endmodule
`default_nettype wire
