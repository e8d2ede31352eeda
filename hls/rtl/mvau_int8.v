// int8 matrix-vector unit with two products a DSP48E2: raw accumulators, as a last layer leaves them.
`default_nettype none
module mvau_int8 #(
    parameter integer PE       = 4,
    parameter integer SIMD     = 8,
    parameter integer WORDS    = 4,
    parameter integer TILES    = 2,
    parameter integer ACC_BITS = 32
) (
    input  wire                   clk,
    input  wire                   reset,
    input  wire [  PE*SIMD*8-1:0] weight_data,
    input  wire                   weight_valid,
    output wire                   weight_ready,
    input  wire [     SIMD*8-1:0] input_data,
    input  wire                   input_valid,
    output wire                   input_ready,
    output wire [PE*ACC_BITS-1:0] output_data,
    output wire                   output_valid,
    input  wire                   output_ready
);
  mvau #(
      .PE(PE), .SIMD(SIMD), .WORDS(WORDS), .TILES(TILES), .WEIGHT_BITS(8), .INPUT_BITS(8), .SIGNED(1), .PAIRS(1),
      .ACC_BITS(ACC_BITS)
  ) sums_of_products (
      .clk(clk), .reset(reset),
      .weight_data(weight_data), .weight_valid(weight_valid), .weight_ready(weight_ready),
      .input_data(input_data), .input_valid(input_valid), .input_ready(input_ready),
      .output_data(output_data), .output_valid(output_valid), .output_ready(output_ready));
endmodule
`default_nettype wire
