// Binary matrix-vector-activation unit: XNOR and popcount, then one threshold a channel.
`default_nettype none
module mvau_binary #(
    parameter integer PE       = 8,
    parameter integer SIMD     = 16,
    parameter integer WORDS    = 4,
    parameter integer TILES    = 4,
    parameter integer ACC_BITS = 8
) (
    input  wire                   clk,
    input  wire                   reset,
    input  wire [    PE*SIMD-1:0] weight_data,
    input  wire                   weight_valid,
    output wire                   weight_ready,
    input  wire [PE*ACC_BITS-1:0] threshold_data,
    input  wire                   threshold_valid,
    output wire                   threshold_ready,
    input  wire [       SIMD-1:0] input_data,
    input  wire                   input_valid,
    output wire                   input_ready,
    output wire [         PE-1:0] output_data,
    output wire                   output_valid,
    input  wire                   output_ready
);
  wire [PE*ACC_BITS-1:0] sums;
  wire sums_valid, sums_ready;
  mvau #(
      .PE(PE), .SIMD(SIMD), .WORDS(WORDS), .TILES(TILES), .WEIGHT_BITS(1), .INPUT_BITS(1), .SIGNED(0), .PAIRS(0),
      .ACC_BITS(ACC_BITS)
  ) sums_of_products (
      .clk(clk), .reset(reset),
      .weight_data(weight_data), .weight_valid(weight_valid), .weight_ready(weight_ready),
      .input_data(input_data), .input_valid(input_valid), .input_ready(input_ready),
      .output_data(sums), .output_valid(sums_valid), .output_ready(sums_ready));
  thresholds #(.PE(PE), .TILES(TILES), .ACC_BITS(ACC_BITS), .COUNT(1), .OUT_BITS(1)) activation (
      .clk(clk), .reset(reset),
      .threshold_data(threshold_data), .threshold_valid(threshold_valid), .threshold_ready(threshold_ready),
      .input_data(sums), .input_valid(sums_valid), .input_ready(sums_ready),
      .output_data(output_data), .output_valid(output_valid), .output_ready(output_ready));
endmodule
`default_nettype wire
