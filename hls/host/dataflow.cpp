// Runs the stages of a dataflow region in turns and finds deadlocks.
#include "dataflow.hpp"

#include <cstddef>
#include <exception>
#include <memory>
#include <stdexcept>

#include "fiber.hpp"

namespace dovetail {
namespace hls {
namespace {

/// Unwinds the stages of a region that has failed.
struct Abandoned {};

}  // namespace

/// The stages of a region while it runs.
class Fibers {
 public:
  explicit Fibers(const Region& region);
  ~Fibers() { current = outer_; }

  void run();
  void wait_for(const Channel& channel, Access access);

  static thread_local Fibers* current;

 private:
  struct Task {
    const Region::Stage* stage = nullptr;
    const Channel* channel = nullptr;  // what it waits for, or null
    Access access = Access::read;
    bool started = false;
    bool finished = false;
    Fiber fiber;

    bool runnable() const {
      if (finished) return false;
      if (channel == nullptr) return true;
      return access == Access::read ? channel->can_read() : channel->can_write();
    }
  };

  static void enter();
  Task* next_runnable();
  void abandon();
  std::string describe_deadlock() const;

  std::vector<std::unique_ptr<Task>> tasks_;
  std::size_t running_ = 0;
  Fiber main_;
  std::exception_ptr failure_;
  bool abandoning_ = false;
  Fibers* outer_;
};

thread_local Fibers* Fibers::current = nullptr;

Fibers::Fibers(const Region& region) : outer_(current) {
  for (const Region::Stage& stage : region.stages_) {
    tasks_.push_back(std::unique_ptr<Task>(new Task));
    tasks_.back()->stage = &stage;
    tasks_.back()->fiber.start(&Fibers::enter);
  }
  current = this;
}

void Fibers::enter() {
  Fibers& all = *current;
  Task& task = *all.tasks_[all.running_];
  task.fiber.arrived();
  task.started = true;
  try {
    task.stage->body();
  } catch (const Abandoned&) {
  } catch (...) {
    all.failure_ = std::current_exception();
  }
  task.finished = true;
  Task* next = all.failure_ || all.abandoning_ ? nullptr : all.next_runnable();
  task.fiber.leave_to(next == nullptr ? all.main_ : next->fiber);
}

/// The next task in turn after the running one that can go on; it becomes the running one. Null
/// when none can.
Fibers::Task* Fibers::next_runnable() {
  for (std::size_t step = 1; step <= tasks_.size(); ++step) {
    const std::size_t candidate = (running_ + step) % tasks_.size();
    if (tasks_[candidate]->runnable()) {
      running_ = candidate;
      return tasks_[candidate].get();
    }
  }
  return nullptr;
}

void Fibers::wait_for(const Channel& channel, Access access) {
  if (abandoning_) throw Abandoned();
  Task& task = *tasks_[running_];
  task.channel = &channel;
  task.access = access;
  Task* next = next_runnable();
  task.fiber.switch_to(next == nullptr ? main_ : next->fiber);
  if (abandoning_) throw Abandoned();
  task.channel = nullptr;
}

void Fibers::run() {
  while (!failure_) {
    Task* next = next_runnable();
    if (next == nullptr) break;
    main_.switch_to(next->fiber);
  }
  std::string deadlock;
  if (!failure_) deadlock = describe_deadlock();
  abandon();
  if (failure_) std::rethrow_exception(failure_);
  if (!deadlock.empty()) throw std::runtime_error(deadlock);
}

void Fibers::abandon() {
  abandoning_ = true;
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    if (tasks_[i]->finished || !tasks_[i]->started) continue;
    running_ = i;
    main_.switch_to(tasks_[i]->fiber);
  }
}

std::string Fibers::describe_deadlock() const {
  std::string waiting;
  for (const auto& task : tasks_) {
    if (task->finished) continue;
    waiting += (waiting.empty() ? "" : ", ") + std::string(task->stage->name) +
               (task->access == Access::read ? " waits for input" : " waits for room");
  }
  return waiting.empty() ? "" : "dataflow deadlock: no stage can go on (" + waiting + ")";
}

void Region::run() {
  if (stages_.empty()) return;
  Fibers fibers(*this);
  fibers.run();
}

void wait_for(const Channel& channel, Access access) {
  if (Fibers::current == nullptr) {
    throw std::runtime_error(access == Access::read
                                 ? "a stream is read while empty, outside a dataflow region"
                                 : "a stream is written while full, outside a dataflow region");
  }
  Fibers::current->wait_for(channel, access);
}

}  // namespace hls
}  // namespace dovetail
