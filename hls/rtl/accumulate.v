// Adds up the partial sums of a tile's words and offers the finished sums to whoever is ready.
`default_nettype none
module accumulate #(
    parameter integer PE       = 2,
    parameter integer SUM_BITS = 8,   // of a partial sum, signed
    parameter integer ACC_BITS = 16   // of an accumulator, signed; at least SUM_BITS + 1
) (
    input  wire                   clk,
    input  wire                   reset,
    input  wire                   valid,
    input  wire                   first,
    input  wire                   last,
    input  wire [PE*SUM_BITS-1:0] sums,
    output wire                   step,
    output reg  [PE*ACC_BITS-1:0] output_data,
    output reg                    output_valid,
    input  wire                   output_ready
);
  // Everything stands still while a finished tile waits: no word is lost, none is needed to catch up.
  assign step = !output_valid || output_ready;

  always @(posedge clk) begin
    if (reset) output_valid <= 1'b0;
    else if (step) output_valid <= valid && last;
  end

  genvar p;
  generate
    for (p = 0; p < PE; p = p + 1) begin : lane
      wire [SUM_BITS-1:0] sum = sums[p*SUM_BITS+:SUM_BITS];
      wire [ACC_BITS-1:0] wide = {{(ACC_BITS - SUM_BITS) {sum[SUM_BITS-1]}}, sum};
      reg  [ACC_BITS-1:0] running;
      wire [ACC_BITS-1:0] total = (first ? {ACC_BITS{1'b0}} : running) + wide;
      always @(posedge clk) begin
        if (step && valid) running <= total;
        if (step && valid && last) output_data[p*ACC_BITS+:ACC_BITS] <= total;
      end
    end
  endgenerate
endmodule
`default_nettype wire
