// Matrix-vector unit, folded PE * SIMD, of any integer format: the accumulators of every vector, tile after tile.
//
// Streams as in AXI: a word passes in a cycle with valid and ready. Element 0 lies in the lowest bits; a weight word
// is [PE][SIMD], output channel first.
`default_nettype none
module mvau #(
    parameter integer PE          = 4,
    parameter integer SIMD        = 8,
    parameter integer WORDS       = 4,   // of SIMD inputs in a vector
    parameter integer TILES       = 2,   // of PE output channels
    parameter integer WEIGHT_BITS = 8,   // 1: bit 1 is +1, bit 0 is -1
    parameter integer INPUT_BITS  = 8,   // 1, with weights of 1 bit: likewise
    parameter integer SIGNED      = 1,   // the inputs are two's complement
    parameter integer PAIRS       = 0,   // int8 alone, PE even: two products a DSP48E2
    parameter integer ACC_BITS    = 24   // signed
) (
    input  wire                           clk,
    input  wire                           reset,
    input  wire [PE*SIMD*WEIGHT_BITS-1:0] weight_data,
    input  wire                           weight_valid,
    output wire                           weight_ready,
    input  wire [    SIMD*INPUT_BITS-1:0] input_data,
    input  wire                           input_valid,
    output wire                           input_ready,
    output wire [        PE*ACC_BITS-1:0] output_data,
    output wire                           output_valid,
    input  wire                           output_ready
);
  localparam integer BINARY = (WEIGHT_BITS == 1 && INPUT_BITS == 1) ? 1 : 0;
  localparam integer SUM_BITS = BINARY != 0 ? $clog2(SIMD + 1) + 1
                                            : WEIGHT_BITS + INPUT_BITS + 1 + $clog2(SIMD);
  localparam integer LANE = SIMD * WEIGHT_BITS;

  wire step, issued, first, last;
  wire [PE*LANE-1:0] weights;
  wire [SIMD*INPUT_BITS-1:0] inputs;
  fold_control #(
      .WEIGHT_WIDTH(PE * LANE), .INPUT_WIDTH(SIMD * INPUT_BITS), .WORDS(WORDS), .TILES(TILES)
  ) control (
      .clk(clk), .reset(reset), .step(step),
      .weight_data(weight_data), .weight_valid(weight_valid), .weight_ready(weight_ready),
      .input_data(input_data), .input_valid(input_valid), .input_ready(input_ready),
      .issued(issued), .weights(weights), .inputs(inputs), .first(first), .last(last));

  wire [PE*SUM_BITS-1:0] products;
  genvar p;
  generate
    for (p = 0; p < PE; p = p + 1) begin : lane
      if (BINARY != 0) begin : xnor_popcount
        dot_binary #(.SIMD(SIMD), .SUM_BITS(SUM_BITS)) dot (
            .weights(weights[p*LANE+:LANE]), .inputs(inputs), .sum(products[p*SUM_BITS+:SUM_BITS]));
      end else if (PAIRS == 0) begin : integers
        dot_integer #(
            .SIMD(SIMD), .WEIGHT_BITS(WEIGHT_BITS), .INPUT_BITS(INPUT_BITS), .SIGNED(SIGNED), .SUM_BITS(SUM_BITS)
        ) dot (
            .weights(weights[p*LANE+:LANE]), .inputs(inputs), .sum(products[p*SUM_BITS+:SUM_BITS]));
      end else if (p % 2 == 0) begin : pair
        dot_int8_pair #(.SIMD(SIMD), .SUM_BITS(SUM_BITS)) dot (
            .even_weights(weights[p*LANE+:LANE]), .odd_weights(weights[(p+1)*LANE+:LANE]), .inputs(inputs),
            .even_sum(products[p*SUM_BITS+:SUM_BITS]), .odd_sum(products[(p+1)*SUM_BITS+:SUM_BITS]));
      end
    end
  endgenerate

  // A register between the adder tree and the accumulators.
  reg valid_sums, first_sums, last_sums;
  reg [PE*SUM_BITS-1:0] sums;
  always @(posedge clk) begin
    if (reset) valid_sums <= 1'b0;
    else if (step) valid_sums <= issued;
    if (step) begin
      sums       <= products;
      first_sums <= first;
      last_sums  <= last;
    end
  end

  accumulate #(.PE(PE), .SUM_BITS(SUM_BITS), .ACC_BITS(ACC_BITS)) accumulators (
      .clk(clk), .reset(reset), .valid(valid_sums), .first(first_sums), .last(last_sums), .sums(sums), .step(step),
      .output_data(output_data), .output_valid(output_valid), .output_ready(output_ready));
endmodule
`default_nettype wire
