// Joins pieces of 0 to BYTES bytes into whole chunks: the Realigner of hls/memory.hpp. A piece each cycle; `full`: the
// piece completes `whole`, or `ends` an image or window of which something is held.
`default_nettype none
module realigner #(
    parameter integer BYTES = 16  // a power of two
) (
    input  wire                   clk,
    input  wire                   reset,
    input  wire [    8*BYTES-1:0] piece,
    input  wire [$clog2(BYTES):0] count,
    input  wire                   ends,
    output wire [    8*BYTES-1:0] whole,
    output wire                   full
);
  localparam integer STAGES = $clog2(BYTES);
  reg  [ 8*BYTES-1:0] kept;  // zero from byte `held` on
  reg  [  STAGES-1:0] held;
  wire [  STAGES : 0] sum = {1'b0, held} + count;
  reg  [16*BYTES-1:0] wide;
  wire [ 8*BYTES-1:0] counted;
  genvar i;
  generate
    for (i = 0; i < BYTES; i = i + 1) begin : bytes
      assign counted[8*i+:8] = count > i ? piece[8*i+:8] : 8'd0;
    end
  endgenerate
  integer s;
  always @* begin
    wide = {{8 * BYTES{1'b0}}, counted};
    for (s = 0; s < STAGES; s = s + 1) if (held[s]) wide = wide << (8 << s);
  end
  assign whole = kept | wide[8*BYTES-1:0];
  assign full  = sum[STAGES] | (ends & (|sum));
  always @(posedge clk) begin
    if (reset) begin
      kept <= {8 * BYTES{1'b0}};
      held <= {STAGES{1'b0}};
    end else begin
      kept <= full ? wide[16*BYTES-1:8*BYTES] : whole;
      held <= full & ~sum[STAGES] ? {STAGES{1'b0}} : sum[STAGES-1:0];
    end
  end
endmodule
`default_nettype wire
