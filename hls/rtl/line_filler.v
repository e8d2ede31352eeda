// A chunk of a padded row: what RowReader of hls/sliding_window.hpp makes of two chunks of the image, of whose first the
// last `shift` bytes are taken. `at`: number of the chunk; bytes before `left` and from `right` on are zero.
`default_nettype none
module line_filler #(
    parameter integer BYTES   = 16,  // a power of two
    parameter integer AT_BITS = 11
) (
    input  wire [              8*BYTES-1:0] earlier,
    input  wire [              8*BYTES-1:0] now,
    input  wire [        $clog2(BYTES)-1:0] shift,
    input  wire [              AT_BITS-1:0] at,
    input  wire [AT_BITS+$clog2(BYTES)-1:0] left,
    input  wire [AT_BITS+$clog2(BYTES)-1:0] right,
    output wire [              8*BYTES-1:0] chunk
);
  localparam integer STAGES = $clog2(BYTES);
  reg  [16*BYTES-1:0] wide;
  integer s;
  always @* begin
    wide = {now, earlier};
    for (s = STAGES - 1; s >= 0; s = s - 1) if (shift[s]) wide = wide << (8 << s);
  end
  genvar i;
  generate
    for (i = 0; i < BYTES; i = i + 1) begin : bytes
      localparam [STAGES-1:0] LANE = i;
      wire [AT_BITS+STAGES-1:0] place = {at, LANE};
      assign chunk[8*i+:8] = place >= left && place < right ? wide[8*(BYTES+i)+:8] : 8'd0;
    end
  endgenerate
  wire unused = |wide[8*BYTES-1:0];
endmodule
`default_nettype wire
