// Whether what an operation has made of its weight is still there.
#pragma once

namespace dovetail {

/// For kernels that want the weight in an order of their own. Where weights change from step to
/// step it is made in every pass; where they stay (inference), once.
class KeptWeight {
 public:
  /// From now on the weight stays as it is; what was made of an earlier one is not it.
  void stays() { stays_ = true, is_there_ = false; }
  /// As at first.
  void changes() { stays_ = is_there_ = false; }
  bool is_kept() const { return stays_; }
  bool is_there() const { return is_there_; }
  /// It has been made, of the weight as it is now.
  void made() { is_there_ = stays_; }
  /// Its memory has been used for something else.
  void lose() { is_there_ = false; }

 private:
  bool stays_ = false, is_there_ = false;
};

}  // namespace dovetail
