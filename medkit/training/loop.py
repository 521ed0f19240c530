"""The loop: epochs, steps, the loss, what is saved and what is told, from top to bottom.

A run is a function of its plan: stopped at any step, it goes on to the same bits.
"""

from __future__ import annotations

from medkit import tables
from medkit.loading.loader import make_loader, on_device
from medkit.runs.folder import Run
from medkit.runs.holding import Hold
from medkit.runs.state import save_state
from medkit.training.distilling import students
from medkit.training.launching import Launch
from medkit.training.pacing import Pace
from medkit.training.preparing import Ready
from medkit.training.telling import Telling


def train(ready: Ready, run: Run, held: Hold, launch: Launch, telling: Telling) -> None:
    """All epochs of a run that are left, in this process: alone, or as one of several.

    Raises:
        Stopped: when somebody asked for it, or its slot is over; the state is saved.
        RuntimeError: when the loss is no longer a number; the last good state is kept.
    """
    state, train_set, valid_set = ready
    plan, stepper, ranks = state.plan, state.stepper, state.stepper.ranks
    sampler = plan.sampler(ranks)
    loader = make_loader(
        train_set,
        sampler,
        batch_size=sampler.share,
        num_workers=launch.num_workers,
        pin_memory=state.device.type == "cuda",
    )
    pace = Pace(launch, state_bytes=state.n_bytes, valid_steps=plan.valid_steps)

    def save() -> None:
        """The first process saves for all."""
        with pace.saving():
            if ranks.is_first:
                held.check()
                state.save(run)

    while not state.is_over:
        # an epoch, or what is left of one
        sampler.epoch, sampler.first = state.epoch, state.step
        state.model.train()
        for batch in on_device(loader, state.device):
            state.set_rate()
            stop = held.stop_wanted or pace.is_slot_over(is_last=state.step + 1 == plan.steps)
            loss, stop = stepper.gradients(batch, state.epoch, state.step, stop=stop)
            stepper.descend(state.optimizer)
            state.take(loss)
            pace.step()
            if stop or (pace.is_save_due and state.step < plan.steps):
                save()
            if stop:
                raise telling.stop(state, None if held.stop_wanted else pace.until)
            telling.step(state, pace)
        state.settle()

        # how good it is on what is held out
        model = state.averaged
        ranks.copy_first([b for b in model.buffers() if b.is_floating_point()])
        with pace.validating():
            scores, predictions, student = plan.validation.judge(
                students(model), valid_set, ranks, run.answers_of(state.epoch + 1)
            )
        is_best = state.end_epoch(scores)

        # what is kept of it
        if is_best and ranks.is_first:
            held.check()
            save_state(run.best, student.state_dict(), {"epoch": state.epoch})
            if predictions is not None:
                tables.write_predictions(predictions, run.path / "predictions.csv")
        save()
        if ranks.is_first:
            run.forget_answers(but_of=state.best["epoch"])
            state.write_history(run)
        telling.epoch(state)
    telling.end(state, pace)
