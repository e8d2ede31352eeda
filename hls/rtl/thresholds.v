// Activation by thresholds: y = number of a channel's thresholds that its accumulator reaches. With one threshold that is
// the sign of a binary network, bit 1 standing for +1.
//
// First the thresholds arrive, TILES words of [PE][COUNT]; then every tile of accumulators passes in one cycle.
`default_nettype none
module thresholds #(
    parameter integer PE       = 4,
    parameter integer TILES    = 2,
    parameter integer ACC_BITS = 16,  // signed
    parameter integer COUNT    = 1,   // 1, 3 or 15
    parameter integer OUT_BITS = 1    // holds COUNT
) (
    input  wire                         clk,
    input  wire                         reset,
    input  wire [PE*COUNT*ACC_BITS-1:0] threshold_data,
    input  wire                         threshold_valid,
    output wire                         threshold_ready,
    input  wire [      PE*ACC_BITS-1:0] input_data,
    input  wire                         input_valid,
    output wire                         input_ready,
    output reg  [      PE*OUT_BITS-1:0] output_data,
    output reg                          output_valid,
    input  wire                         output_ready
);
  localparam integer TILE_BITS = TILES > 1 ? $clog2(TILES) : 1;
  localparam [TILE_BITS-1:0] LAST_TILE = TILES[TILE_BITS-1:0] - 1'b1;

  reg [PE*COUNT*ACC_BITS-1:0] kept[0:TILES-1];
  reg loaded;
  reg [TILE_BITS-1:0] tile;
  wire [PE*COUNT*ACC_BITS-1:0] steps = kept[tile];

  wire accept_thresholds = threshold_valid && threshold_ready;
  wire accept = input_valid && input_ready;
  assign threshold_ready = !loaded;
  assign input_ready = loaded && (!output_valid || output_ready);

  always @(posedge clk) begin
    if (accept_thresholds) kept[tile] <= threshold_data;
    if (reset) begin
      loaded       <= 1'b0;
      tile         <= 0;
      output_valid <= 1'b0;
    end else begin
      if (accept_thresholds || accept) tile <= tile == LAST_TILE ? 0 : tile + 1'b1;
      if (accept_thresholds && tile == LAST_TILE) loaded <= 1'b1;
      if (!output_valid || output_ready) output_valid <= accept;
    end
  end

  genvar p, t;
  generate
    for (p = 0; p < PE; p = p + 1) begin : lane
      wire signed [ACC_BITS-1:0] sum = input_data[p*ACC_BITS+:ACC_BITS];
      wire [COUNT-1:0] reached;
      for (t = 0; t < COUNT; t = t + 1) begin : compare
        wire signed [ACC_BITS-1:0] limit = steps[(p*COUNT+t)*ACC_BITS+:ACC_BITS];
        assign reached[t] = sum >= limit;
      end
      reg [OUT_BITS-1:0] count;
      integer i;
      always @* begin
        count = {{(OUT_BITS - 1) {1'b0}}, reached[0]};
        for (i = 1; i < COUNT; i = i + 1) count = count + {{(OUT_BITS - 1) {1'b0}}, reached[i]};
      end
      always @(posedge clk) if (accept) output_data[p*OUT_BITS+:OUT_BITS] <= count;
    end
  endgenerate
endmodule
`default_nettype wire
