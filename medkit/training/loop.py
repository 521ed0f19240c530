"""The loop: epochs, steps, the loss, what is saved and what is told, from top to bottom.

A run is a function of its plan: stopped at any step, it goes on to the same bits.
"""

from __future__ import annotations

from medkit.loading.loader import make_loader, on_device
from medkit.runs.folder import Run
from medkit.runs.holding import Hold
from medkit.training.distilling import models_of
from medkit.training.launching import Launch
from medkit.training.optimizing import state_bytes
from medkit.training.pacing import Pace
from medkit.training.preparing import Ready
from medkit.training.telling import Telling
from medkit.training.validating import GivenUp


def train(ready: Ready, run: Run, held: Hold, launch: Launch, telling: Telling) -> None:
    """All epochs of a run that are left, in this process: alone, or as one of several.

    Raises:
        Stopped: when somebody asked for it, or its slot is over; the state is saved.
        RunError: when the loss is no longer a number; the last good state is kept.
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
    pace = Pace(
        launch, state_bytes=state_bytes(state.model, plan.config), valid_steps=plan.valid_steps
    )

    def save() -> None:
        """The first process saves for all."""
        with pace.saving():
            if ranks.is_first:
                held.check()
                state.save(run)

    while not state.is_over:
        # an epoch, or what is left of one: perhaps its end alone
        sampler.epoch, sampler.first = state.epoch, state.step
        state.model.train()
        for batch in on_device(loader, state.device):
            state.set_rate()
            slot_ends = pace.is_slot_over(is_last=state.step + 1 == plan.steps)
            # forward and back through plan.objective; each process learns if another must stop
            loss, stop = stepper.gradients(
                batch, state.epoch, state.step, stop=slot_ends or held.stop_wanted
            )
            stepper.descend(state.optimizer)
            state.move_average()
            state.step_done(loss)
            pace.step()
            if stop or (pace.is_save_due and state.step < plan.steps):
                save()
            if stop:
                raise telling.stopped(state, pace.until if slot_ends else None)
            if telling.is_due:
                state.add_losses()
                telling.step(state, pace)
        state.check()

        # how good it is on what is held out
        model = state.averaged
        ranks.copy_statistics(model)
        try:
            with pace.validating():
                scores, predictions, student = plan.validation.judge(
                    models_of(model),
                    valid_set,
                    ranks,
                    run.answers_folder(state.epoch + 1),
                    is_wanted=lambda: not held.stop_wanted,
                )
        except GivenUp:  # it begins again with the next call
            save()
            raise telling.stopped(state) from None
        is_best = state.end_epoch(scores)  # from here the epoch is the next one

        # what is kept of it
        if is_best and ranks.is_first:
            held.check()
            state.keep_best(run, student, predictions)
        save()
        ranks.wait_for_all()  # each has scored what the first one now removes
        if ranks.is_first:
            run.forget_answers(but_of=state.best["epoch"])
            state.write_history(run)
        telling.epoch(state)
    telling.end(state, pace)
